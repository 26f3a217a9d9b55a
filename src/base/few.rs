//! Lists that are empty as a rule, or the same for many.

use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// A list that takes the room of a pointer, and nothing else while it is empty. Copies share what is in it until one of
/// them changes.
///
/// It can be used like a [`Vec`] in every way; one that was emptied equals one that never held anything.
#[derive(Debug)]
pub struct Few<T>(Option<Arc<Vec<T>>>);

impl<T: 'static> Few<T> {
    const EMPTY: &'static Vec<T> = &Vec::new();

    /// An empty list.
    pub const fn new() -> Self {
        Self(None)
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Clone for Few<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: 'static> Deref for Few<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        self.0.as_deref().unwrap_or(Self::EMPTY)
    }
}

impl<T: Clone + 'static> DerefMut for Few<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        Arc::make_mut(self.0.get_or_insert_default())
    }
}

impl<T: PartialEq + 'static> PartialEq for Few<T> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq::<Vec<T>>(&**self, &**other) || **self == **other
    }
}

impl<T: PartialEq<U> + 'static, U, const N: usize> PartialEq<[U; N]> for Few<T> {
    fn eq(&self, other: &[U; N]) -> bool {
        **self == *other
    }
}

impl<T: Eq + 'static> Eq for Few<T> {}

impl<T: Hash + 'static> Hash for Few<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<T> From<Vec<T>> for Few<T> {
    fn from(all: Vec<T>) -> Self {
        Self((!all.is_empty()).then(|| Arc::new(all)))
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        all.into_iter().collect::<Vec<T>>().into()
    }
}

impl<'a, T: 'static> IntoIterator for &'a Few<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_list_that_copies_share() {
        let mut some: Few<u8> = vec![1, 2].into();
        let copy = some.clone();
        assert!(std::ptr::eq::<Vec<u8>>(&*some, &*copy));
        some.push(3);
        assert_eq!((some.as_slice(), copy.as_slice()), ([1, 2, 3].as_slice(), [1, 2].as_slice()));
        assert_eq!(copy.iter().sum::<u8>(), 3);
        assert_eq!(size_of::<Few<u8>>(), size_of::<usize>());
    }

    #[test]
    fn an_emptied_list_is_an_empty_one() {
        let mut some: Few<u8> = [1].into_iter().collect();
        some.clear();
        assert_eq!(some, Few::new());
        assert_eq!(Few::<u8>::from(Vec::new()).0, None);
    }
}
