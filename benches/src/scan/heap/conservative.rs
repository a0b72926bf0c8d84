//! bdwgc's map: a hashbrown table in the collector's own heap. The child process that is asked for it owns it. Invariant: a
//! deleted entry's pointer is overwritten, since the collector looks at every word of the table.

use std::ptr::{NonNull, null_mut};

use hashbrown::HashMap;

use super::super::EXACT;
use super::super::layout::Pattern;
use super::{Wave, value_of};
use crate::bdwgc::{self, Collected};
use crate::engine::{Hasher, table_hasher};
use crate::timer::{Taken, mean_taken, taken};

type Map = HashMap<u64, *mut u64, Hasher, Collected>;

/// The map, which the collector finds from a root.
pub(crate) struct Table {
    map: &'static mut Map,
}

impl Table {
    pub(crate) fn new() -> Self {
        bdwgc::collect_by_itself(false);
        Self { map: bdwgc::make_root(Map::with_hasher_in(table_hasher(), Collected)) }
    }

    /// What the scan asks of a remote map.
    pub(crate) fn answer(&mut self, words: &[&str]) -> Option<String> {
        let times = |Taken { time, cpu }| format!("{time} {cpu}");
        Some(match *words {
            ["scan-fill", entries] => {
                let entries: u64 = entries.parse().ok()?;
                *self.map = Map::with_hasher_in(table_hasher(), Collected);
                for key in 0..entries {
                    self.map.insert(key, bdwgc::make_leaf(value_of(key)).as_ptr());
                }
                entries.to_string()
            }
            ["scan-thin", entries, percent, pattern] => {
                let pattern = Pattern::ALL.into_iter().find(|known| known.name() == pattern)?;
                let wave = Wave { entries: entries.parse().ok()?, percent: percent.parse().ok()?, pattern };
                self.map.retain(|&key, value| {
                    let stays = wave.keeps(key);
                    if !stays {
                        *value = null_mut();
                    }
                    stays
                });
                self.map.len().to_string()
            }
            ["scan-sum"] => {
                let sum =
                    self.map.iter().fold(0_u64, |sum, (key, value)| sum.wrapping_add(key + read(*value)));
                format!("{} {}", self.map.len(), sum & EXACT)
            }
            ["scan-first"] => times(taken(bdwgc::collect).1),
            ["scan-collect"] => times(mean_taken(bdwgc::collect)),
            _ => return None,
        })
    }
}

#[allow(unsafe_code)]
fn read(value: *mut u64) -> u64 {
    // SAFETY: the map's values are live blocks, which the root reaches.
    NonNull::new(value).map_or(0, |value| unsafe { value.read() })
}
