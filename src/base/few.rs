//! Collections that are empty as a rule, or the same for many.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};

use super::Arc;

/// A collection that takes the room of a pointer, and nothing else while it is empty. Copies share what is in it until one
/// of them changes.
///
/// It can be used like the collection itself in every way; one that was emptied equals one that never held anything.
#[derive(Debug)]
pub struct Sparse<C>(Option<Arc<C>>);

/// A list that takes the room of a pointer.
pub type Few<T> = Sparse<Vec<T>>;

/// A collection of which there is an empty one.
pub trait Empty: Default + 'static {
    /// The empty one.
    const EMPTY: &'static Self;

    /// Whether nothing is in it.
    fn is_empty(&self) -> bool;
}

impl<T: 'static> Empty for Vec<T> {
    const EMPTY: &'static Self = &Self::new();

    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }
}

impl<K: 'static, V: 'static> Empty for BTreeMap<K, V> {
    const EMPTY: &'static Self = &Self::new();

    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }
}

impl<C> Sparse<C> {
    /// An empty one.
    pub const fn new() -> Self {
        Self(None)
    }
}

impl<C> Default for Sparse<C> {
    fn default() -> Self {
        Self(None)
    }
}

impl<C> Clone for Sparse<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Empty> Deref for Sparse<C> {
    type Target = C;

    fn deref(&self) -> &C {
        self.0.as_deref().unwrap_or(C::EMPTY)
    }
}

impl<C: Empty + Clone> DerefMut for Sparse<C> {
    fn deref_mut(&mut self) -> &mut C {
        Arc::make_mut(self.0.get_or_insert_default())
    }
}

impl<C: Empty + PartialEq> PartialEq for Sparse<C> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq::<C>(&**self, &**other) || **self == **other
    }
}

impl<T: PartialEq<U> + 'static, U, const N: usize> PartialEq<[U; N]> for Few<T> {
    fn eq(&self, other: &[U; N]) -> bool {
        **self == *other
    }
}

impl<C: Empty + Eq> Eq for Sparse<C> {}

impl<C: Empty + Hash> Hash for Sparse<C> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<C: Empty> From<C> for Sparse<C> {
    fn from(all: C) -> Self {
        Self((!all.is_empty()).then(|| Arc::new(all)))
    }
}

impl<T, C: Empty + FromIterator<T>> FromIterator<T> for Sparse<C> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        all.into_iter().collect::<C>().into()
    }
}

impl<C: Empty + Clone + IntoIterator> IntoIterator for Sparse<C> {
    type Item = C::Item;
    type IntoIter = C::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        self.0.map(Arc::unwrap_or_clone).unwrap_or_default().into_iter()
    }
}

impl<'a, C: Empty> IntoIterator for &'a Sparse<C>
where
    &'a C: IntoIterator,
{
    type Item = <&'a C as IntoIterator>::Item;
    type IntoIter = <&'a C as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        (&**self).into_iter()
    }
}

impl<'a, C: Empty + Clone> IntoIterator for &'a mut Sparse<C>
where
    &'a mut C: IntoIterator,
{
    type Item = <&'a mut C as IntoIterator>::Item;
    type IntoIter = <&'a mut C as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        (&mut **self).into_iter()
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

    #[test]
    fn a_map_takes_no_room_while_it_is_empty_and_is_shared_by_copies() {
        let none = Sparse::<BTreeMap<u8, u8>>::default();
        assert_eq!((none.len(), none.get(&1), size_of_val(&none)), (0, None, size_of::<usize>()));
        assert_eq!([].into_iter().collect::<Sparse<BTreeMap<u8, u8>>>().0, None);
        let some: Sparse<BTreeMap<u8, u8>> = [(1, 10), (2, 20)].into_iter().collect();
        let mut copy = some.clone();
        assert!(std::ptr::eq::<BTreeMap<u8, u8>>(&*some, &*copy));
        for (_, value) in &mut copy {
            *value += 1;
        }
        assert_eq!((some.get(&1), copy.get(&1)), (Some(&10), Some(&11)));
        assert_eq!(copy.into_iter().collect::<Vec<_>>(), [(1, 11), (2, 21)]);
        assert_eq!(Sparse::from(BTreeMap::<u8, u8>::new()), Sparse::default(), "however it became empty");
    }
}
