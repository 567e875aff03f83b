//! A map that forgets what nobody asked for in a long time.

use std::{collections::HashMap, hash::Hash};

/// Two generations: once the younger one is full it becomes the older one, and what was
/// not asked for since the last time is forgotten.
pub struct Cache<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    most: usize,
}

impl<K: Eq + Hash + Copy, V> Cache<K, V> {
    /// A cache of at most twice that many entries.
    pub fn new(most: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), most }
    }

    /// An entry, if there is one.
    pub fn get(&mut self, key: K) -> Option<&mut V> {
        if !self.young.contains_key(&key) {
            let value = self.old.remove(&key)?;
            self.insert(key, value);
        }
        self.young.get_mut(&key)
    }

    /// An entry, which is made if there is none.
    pub fn get_or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        if self.get(key).is_none() {
            self.insert(key, V::default());
        }
        self.young.entry(key).or_default()
    }

    /// Adds or replaces an entry.
    pub fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.most && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays() {
        let mut cache = Cache::new(4);
        cache.insert(0, 0);
        for i in 1..100 {
            cache.insert(i, i);
            assert_eq!(cache.get(0), Some(&mut 0), "after {i}");
            assert!(cache.young.len() <= 4 && cache.old.len() <= 4, "after {i}");
        }
        assert_eq!(cache.get(99), Some(&mut 99));
        assert_eq!(cache.get(50), None);
    }

    #[test]
    fn an_entry_is_there_once() {
        let mut cache = Cache::new(2);
        for i in 0..3 {
            cache.insert(i, 'a');
        }
        // 0 is of the older generation by now.
        cache.insert(0, 'b');
        assert!(!cache.old.contains_key(&0));
        assert_eq!(*cache.get_or_default(0), 'b');
        assert_eq!(*cache.get_or_default(7), '\0');
    }
}
