//! How far the lane is complete in write time: "all that was written before T
//! lies at or below this batch".
//!
//! Each scan looks at every file's size at a known time. A file whose bytes up
//! to that size are settled holds nothing back: T may be the scan's beginning.
//! A file that lags holds T at what is known of the write time of its last
//! settled line: the time in the line (CRI), else the latest scan whose size
//! it has passed, else when it was last seen complete, else its birth.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::checkpoint::FileKey;

/// Scans remembered of a lagging file. Fewer only makes T coarser, never wrong.
const SAMPLES_MAX: usize = 64;

/// Works out the mark. Times are microseconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    scan: Option<i64>,
    lagging: HashMap<FileKey, Lag>,
    /// How many lagging files have which floor: the mark is asked for with
    /// each block that is read, however many files lag.
    floors: BTreeMap<Option<i64>, usize>,
}

#[derive(Debug)]
struct Lag {
    floor: Option<i64>,
    /// When a scan saw which size, for sizes not yet settled.
    samples: VecDeque<(i64, u64)>,
}

impl Marks {
    /// Every file that exists has been observed by a scan begun at `micros`.
    pub(crate) fn scanned(&mut self, micros: i64) {
        self.scan = Some(micros);
    }

    /// A scan begun at `micros` saw `size` bytes, of which `settled` are on
    /// their way. `floor` is a time before which everything is known settled.
    /// True when the file holds nothing back.
    pub(crate) fn observe(
        &mut self,
        key: FileKey,
        micros: i64,
        size: u64,
        settled: u64,
        floor: Option<i64>,
    ) -> bool {
        if settled >= size {
            self.forget(key);
            return true;
        }
        let mut lag = self.take(key).unwrap_or_else(|| Lag { floor, samples: VecDeque::new() });
        lag.pass(settled);
        if lag.samples.len() >= SAMPLES_MAX {
            let mut nth = 0;
            lag.samples.retain(|_| {
                nth += 1;
                nth % 2 == 0
            });
        }
        lag.samples.push_back((micros, size));
        self.put(key, lag);
        false
    }

    /// More of a file is settled; `written` is the write time of its last
    /// settled line, if the line says it.
    pub(crate) fn progress(&mut self, key: FileKey, settled: u64, written: Option<i64>) {
        let Some(mut lag) = self.take(key) else { return };
        lag.pass(settled);
        if lag.samples.is_empty() {
            return;
        }
        if let Some(written) = written.zip(self.scan).map(|(written, scan)| written.min(scan)) {
            lag.floor = Some(lag.floor.map_or(written, |floor| floor.max(written)));
        }
        self.put(key, lag);
    }

    /// The file is gone or cannot be read: it holds nothing back.
    pub(crate) fn forget(&mut self, key: FileKey) {
        drop(self.take(key));
    }

    /// T now; nothing until a first scan, or while a file of unknown age lags.
    pub(crate) fn value(&self) -> Option<i64> {
        match self.floors.first_key_value() {
            Some((floor, _)) => Some(self.scan?.min((*floor)?)),
            None => self.scan,
        }
    }

    fn take(&mut self, key: FileKey) -> Option<Lag> {
        let lag = self.lagging.remove(&key)?;
        if let Some(files) = self.floors.get_mut(&lag.floor) {
            *files -= 1;
            if *files == 0 {
                self.floors.remove(&lag.floor);
            }
        }
        Some(lag)
    }

    fn put(&mut self, key: FileKey, lag: Lag) {
        *self.floors.entry(lag.floor).or_default() += 1;
        self.lagging.insert(key, lag);
    }
}

impl Lag {
    fn pass(&mut self, settled: u64) {
        while let Some(&(micros, size)) = self.samples.front()
            && size <= settled
        {
            self.floor = Some(self.floor.map_or(micros, |floor| floor.max(micros)));
            self.samples.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::{option, prelude::*};

    use super::*;

    const A: FileKey = FileKey(1);
    const B: FileKey = FileKey(2);

    #[test]
    fn nothing_is_said_before_the_first_scan() {
        let mut marks = Marks::default();
        assert_eq!(marks.value(), None);
        assert!(marks.observe(A, 100, 10, 10, None));
        assert_eq!(marks.value(), None);
        marks.scanned(100);
        assert_eq!(marks.value(), Some(100));
    }

    #[test]
    fn a_lagging_file_holds_the_mark_at_what_it_has_passed() {
        let mut marks = Marks::default();
        assert!(!marks.observe(A, 100, 10, 0, Some(40)));
        assert!(marks.observe(B, 100, 7, 7, None));
        marks.scanned(100);
        assert_eq!(marks.value(), Some(40));
        marks.observe(A, 200, 30, 5, Some(40));
        marks.scanned(200);
        marks.progress(A, 9, None);
        assert_eq!(marks.value(), Some(40), "the size of the first scan is not reached");
        marks.progress(A, 10, None);
        assert_eq!(marks.value(), Some(100));
        marks.progress(A, 30, None);
        assert_eq!(marks.value(), Some(200));
    }

    #[test]
    fn a_line_that_says_its_time_moves_the_mark_but_never_past_the_scan() {
        let mut marks = Marks::default();
        marks.observe(A, 100, 10, 0, Some(40));
        marks.scanned(100);
        marks.progress(A, 5, Some(70));
        assert_eq!(marks.value(), Some(70));
        marks.progress(A, 6, Some(60));
        assert_eq!(marks.value(), Some(70), "lines of two streams may swap");
        marks.progress(A, 7, Some(500));
        assert_eq!(marks.value(), Some(100));
    }

    #[test]
    fn a_file_of_unknown_age_makes_the_mark_unknown_until_it_is_forgotten() {
        let mut marks = Marks::default();
        marks.observe(A, 100, 10, 0, None);
        marks.scanned(100);
        assert_eq!(marks.value(), None);
        marks.forget(A);
        assert_eq!(marks.value(), Some(100));
    }

    #[test]
    fn many_scans_of_a_lagging_file_are_thinned_and_stay_right() {
        let mut marks = Marks::default();
        for scan in 1..=1000 {
            marks.observe(A, scan, scan as u64 * 10, 0, Some(0));
            marks.scanned(scan);
        }
        assert!(marks.lagging[&A].samples.len() <= SAMPLES_MAX);
        marks.progress(A, 5_000, None);
        let held = marks.value().expect("known");
        assert!(held <= 500, "{held} claims bytes that are not settled");
        marks.progress(A, 10_000, None);
        assert_eq!(marks.value(), Some(1000));
        assert!(marks.floors.is_empty());
    }

    proptest! {
        /// The mark is the least of what each lagging file says, whatever
        /// came before.
        #[test]
        fn the_mark_is_the_least_floor(steps in vec((0u64..6, 0u64..5, 0u64..40, option::of(0i64..200)), 1..80)) {
            let mut marks = Marks::default();
            for (now, (key, act, bytes, time)) in (1i64..).zip(steps) {
                let key = FileKey(key);
                match act {
                    0 => marks.forget(key),
                    1 => marks.progress(key, bytes, time),
                    2 => marks.scanned(now),
                    _ => drop(marks.observe(key, now, bytes + act, bytes, time)),
                }
                let floors = marks.lagging.values().map(|lag| lag.floor);
                let least = floors.fold(marks.scan, |lowest, floor| Some(lowest?.min(floor?)));
                prop_assert_eq!(marks.value(), least);
                prop_assert_eq!(marks.floors.values().sum::<usize>(), marks.lagging.len());
            }
        }
    }
}
