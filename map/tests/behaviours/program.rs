//! A small program as users write them: words counted, indexed and grouped. It changes maps by one line.
//!
//! Invariant: it names std's names only.

use crate::subject::hash_map::Entry;
use crate::subject::{HashMap, HashSet, hash_map, hash_set};

const TEXT: &str = "the mask tells which slots hold entries and the walk reads the mask and never the slots";

/// Words, where they stand, and what stands beside them.
#[derive(Debug, Default, Clone, PartialEq)]
struct Index<'a> {
    places: HashMap<&'a str, Vec<usize>>,
    beside: HashMap<&'a str, HashSet<&'a str>>,
    longest: Option<&'a str>,
}

impl<'a> Index<'a> {
    fn of(text: &'a str) -> Self {
        let mut index = Self::default();
        let mut before: Option<&'a str> = None;
        for (place, word) in text.split(' ').enumerate() {
            match index.places.entry(word) {
                Entry::Occupied(mut entry) => entry.get_mut().push(place),
                Entry::Vacant(entry) => {
                    entry.insert(vec![place]);
                }
            }
            if let Some(before) = before.replace(word) {
                index.beside.entry(before).or_default().insert(word);
                index.beside.entry(word).or_insert_with(HashSet::new).insert(before);
            }
            index.longest = index.longest.max_by_key_or(word);
        }
        index
    }

    fn words(&self) -> hash_map::Keys<'_, &'a str, Vec<usize>> {
        self.places.keys()
    }

    fn beside<'b>(&'b self, word: &str) -> Option<hash_set::Iter<'b, &'a str>> {
        self.beside.get(word).map(HashSet::iter)
    }
}

trait Longest<'a> {
    fn max_by_key_or(self, word: &'a str) -> Self;
}

impl<'a> Longest<'a> for Option<&'a str> {
    fn max_by_key_or(self, word: &'a str) -> Self {
        self.filter(|known| known.len() >= word.len()).or(Some(word))
    }
}

fn counts<'a, I>(words: I) -> HashMap<&'a str, usize>
where
    I: IntoIterator<Item = &'a str>,
{
    words.into_iter().fold(HashMap::new(), |mut counts, word| {
        *counts.entry(word).or_insert(0) += 1;
        counts
    })
}

#[test]
fn it_counts_and_groups() {
    let index = Index::of(TEXT);
    let counts = counts(TEXT.split_whitespace());
    assert_eq!(index.words().len(), counts.len());
    assert!(index.places.iter().all(|(word, places)| counts[word] == places.len()));
    assert_eq!((counts["the"], index.longest), (4, Some("entries")));
    let mut beside: Vec<_> = index.beside("mask").unwrap().copied().collect();
    beside.sort_unstable();
    assert_eq!(beside, ["and", "tells", "the"]);
    let by_count =
        counts.iter().fold(HashMap::<usize, Vec<&str>>::with_capacity(4), |mut groups, (word, count)| {
            groups.entry(*count).or_default().push(word);
            groups
        });
    assert_eq!(by_count.values().map(Vec::len).sum::<usize>(), counts.len());
    let seldom: HashSet<_> = by_count.get(&1).into_iter().flatten().copied().collect();
    let often: HashSet<_> =
        counts.into_iter().filter(|&(_, count)| count > 1).map(|(word, _)| word).collect();
    assert!(seldom.is_disjoint(&often));
    assert_eq!((&seldom | &often), index.words().copied().collect());
    assert_eq!(index.clone(), index);
}
