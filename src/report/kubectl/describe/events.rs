//! The Events about an object.

use super::{Scene, Sheet};
use crate::api::Event;
use crate::base::Arc;
use crate::report::kubectl::columns::last_seen;

/// The table of Events about the object, the latest last.
pub(super) fn table(sheet: &mut Sheet, scene: &Scene<'_>) {
    let about = scene.object.reference();
    // Kubelets name a node by its name where others name it by its uid.
    let same = |uid: &str| uid.is_empty() || uid == about.uid || uid == about.name;
    let mut events: Vec<Arc<Event>> = scene
        .store
        .events_about(|r, _| {
            r.kind == about.kind && r.namespace == about.namespace && r.name == about.name && same(&r.uid)
        })
        .collect();
    if events.is_empty() {
        sheet.field(0, "Events", "<none>");
        return;
    }
    events.sort_by_key(|e| (e.last, e.meta.resource_version));
    sheet.flush();
    sheet.line(0, "Events:");
    sheet.line(1, "Type\tReason\tAge\tFrom\tMessage");
    sheet.line(1, "----\t------\t----\t----\t-------");
    for event in &events {
        let age = last_seen(event, scene.now);
        let Event { event_type, reason, source, message, .. } = &**event;
        sheet.line(1, format_args!("{}\t{reason}\t{age}\t{source}\t{}", event_type.as_str(), message.trim()));
    }
}
