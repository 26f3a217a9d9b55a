//! Storage: claims and volumes find each other, volumes are made, attached, grown and deleted.
//!
//! * [`binder`]: binds claims to volumes (`persistentvolume-binder-controller`).
//! * [`ephemeral`]: claims of generic ephemeral volumes.
//! * [`provisioner`]: makes and deletes volumes, as the drivers' sidecars do.
//! * [`protection`]: keeps what is used from vanishing.

pub mod binder;
pub mod ephemeral;
pub mod protection;
pub mod provisioner;
pub mod sha256;
#[cfg(test)]
pub mod testing;
