//! What was worked out lately, by what it was worked out from.

/// What something is kept by.
pub trait Key {
    /// Where to look; keys that are the same have the same.
    fn hash(&self) -> usize;

    /// Whether it stands for the same.
    fn same(&self, other: &Self) -> bool;
}

/// A table with one place for each hash: a key takes the place of another one that
/// hashes alike. A look-up is one comparison, and the table never grows.
pub struct Recent<K, V>(Vec<Option<(K, V)>>);

impl<K: Key, V> Recent<K, V> {
    /// With room for so many, at least one.
    pub fn new(places: usize) -> Self {
        Self((0..places.max(1)).map(|_| None).collect())
    }

    fn place(&self, key: &K) -> usize {
        key.hash() % self.0.len()
    }

    /// What is kept by the key.
    pub fn get(&self, key: &K) -> Option<&V> {
        let (kept, value) = self.0.get(self.place(key))?.as_ref()?;
        kept.same(key).then_some(value)
    }

    /// Keeps something.
    pub fn put(&mut self, key: K, value: V) {
        let place = self.place(&key);
        if let Some(entry) = self.0.get_mut(place) {
            *entry = Some((key, value));
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.fill_with(|| None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_put_there_is_found() {
        let mut recent = Recent::new(4);
        assert_eq!(recent.get(&1_u32), None);
        recent.put(1, "one");
        assert_eq!(recent.get(&1), Some(&"one"));
        // In the same place.
        assert_eq!(recent.get(&5), None);
        recent.put(5, "five");
        assert_eq!((recent.get(&1), recent.get(&5)), (None, Some(&"five")));
        recent.clear();
        assert_eq!(recent.get(&5), None);
    }
}
