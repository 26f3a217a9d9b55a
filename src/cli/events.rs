//! `wavetank events`: what was said up to an instant, in the order of time, as `kubectl events` shows it.

use super::args::Events;
use super::exit::Exit;
use super::get::{parse_name, world_at_with};
use super::output::Context;
use crate::api::Event;
use crate::base::Arc;
use crate::report::kubectl;

/// Shows Events.
pub fn main(args: &Events, context: &Context) -> Exit {
    let (world, scenario) = match world_at_with(&args.look, context) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let about = match args.of.as_deref().map(|word| parse_name(word, &scenario)).transpose() {
        Ok(about) => about,
        Err(why) => {
            context.complain(&format!("--for: {why}"));
            return Exit::Input;
        }
    };
    let namespace = args.namespace.as_deref().unwrap_or("default");
    let wanted = |event: &Arc<Event>| {
        (args.all_namespaces || event.meta.namespace == namespace)
            && (args.types.is_empty()
                || args.types.iter().any(|t| t.eq_ignore_ascii_case(event.event_type.as_str())))
            && about
                .as_ref()
                .is_none_or(|(kind, name)| event.regarding.kind == *kind && event.regarding.name == *name)
    };
    let mut events: Vec<Arc<Event>> = world.store().events().filter(wanted).collect();
    if events.is_empty() {
        context.say(&if args.all_namespaces {
            "No events found.".to_owned()
        } else {
            format!("No events found in {namespace} namespace.")
        });
        return Exit::Fine;
    }
    events.sort_by_key(|event| (event.last, event.meta.resource_version));
    let now = world.store().calendar().timestamp(world.now());
    context.print(&kubectl::events(&events, now, args.all_namespaces))
}
