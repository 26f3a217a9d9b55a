//! Storage: claims and volumes find each other, volumes are made, attached, grown and deleted.
//!
//! * [`attach_detach`]: decides what is attached where. * [`attacher`]: attaches it, as the drivers' sidecars do.
//! * [`binder`]: binds claims to volumes (`persistentvolume-binder-controller`).
//! * [`ephemeral`]: claims of generic ephemeral volumes.
//! * [`expansion`]: claims that grow.
//! * [`provisioner`]: makes and deletes volumes, as the drivers' sidecars do.
//! * [`protection`]: keeps what is used from vanishing. * [`snapshot`]: points in time, to make volumes from.

pub mod attach_detach;
pub mod attacher;
pub mod binder;
pub mod ephemeral;
pub mod expansion;
pub mod protection;
pub mod provisioner;
pub mod snapshot;
#[cfg(test)]
pub mod testing;
