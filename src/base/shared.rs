//! Values that copies share until one of them changes.

use std::ops::{Deref, DerefMut};

/// A value that several hold, and that is gone with the last of them.
///
/// Unlike the standard library's it cannot be held weakly. That saves a word, a step of drawing even with other processors
/// each time it is changed in place, and another when it goes: there are dozens of them for every Pod. Trait objects, and
/// slices that are empty as a rule, are held by the standard library's.
pub use triomphe::Arc;

/// A value whose copies cost nothing: the first change of a copy makes it its own.
///
/// Reading goes through as if it were the value itself, and so does changing it; a change copies the value only while
/// another copy still holds it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shared<T>(Arc<T>);

impl<T> Shared<T> {
    /// Whether the two are copies of each other that neither has changed.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_the_same_until_one_of_both_changes() {
        let first = Shared::from(vec![1, 2]);
        let mut second = first.clone();
        assert!(std::ptr::eq(&*second, &*first) && second.is(&first));
        second.push(3);
        assert!(!std::ptr::eq(&*second, &*first) && !second.is(&first));
        assert_eq!((first.len(), second.len()), (2, 3));
        let place = std::ptr::from_ref(&*second);
        second.push(4);
        assert!(std::ptr::eq(place, &*second), "nobody else holds it");
    }
}
