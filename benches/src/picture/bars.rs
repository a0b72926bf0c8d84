//! A histogram: bars of several sides over logarithmic buckets, side by side. Pure functions. Invariant: a bar's height is its bucket's
//! count, on a logarithmic axis whose foot lies below a count of one, so that a single one is seen.

use std::error::Error;

use plotters::prelude::{Rectangle, ShapeStyle};

use super::axis::Axis;
use super::field::{Chart, drawn_on, rgb};
use super::{Drawn, tone};

/// Where bars stand: below a count of one.
const FOOT: f64 = 0.5;
/// What of a bucket is left empty, so that its bars are told from the next one's.
const GAP: f64 = 0.15;

/// A bucket of values, and how many there are in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Its least value, which is positive.
    pub from: f64,
    /// What its values lie below.
    pub to: f64,
    /// How many.
    pub count: f64,
}

impl Bucket {
    fn is_shown(&self) -> bool {
        self.from > 0.0 && self.to > self.from && self.to.is_finite() && self.count >= 1.0
    }

    /// Its part of the `nth` of so many bars that stand beside each other: where the bar begins and ends.
    fn place(&self, nth: usize, sides: usize) -> (f64, f64) {
        let at = |part: f64| self.from * (self.to / self.from).powf(part);
        let width = (1.0 - GAP) / sides as f64;
        let start = GAP / 2.0 + width * nth as f64;
        (at(start), at(start + width))
    }
}

/// Bars over two logarithmic axes.
#[derive(Clone, Debug)]
pub struct Bars {
    /// What is in buckets.
    pub x: String,
    /// What is counted.
    pub y: String,
    /// A name, and buckets that are the same for all sides. At most eight, else colours come twice.
    pub sides: Vec<(String, Vec<Bucket>)>,
}

impl Bars {
    fn shown(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &Bucket> + Clone)> {
        let shown = |buckets: &'_ [Bucket]| buckets.iter().any(Bucket::is_shown);
        self.sides
            .iter()
            .filter(move |side| shown(&side.1))
            .map(|(name, buckets)| (name.as_str(), buckets.iter().filter(|bucket| bucket.is_shown())))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.shown().next().is_none()
    }

    /// Its sides and their colours.
    pub(super) fn key(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.shown().enumerate().map(|(nth, (name, _))| (name, tone(nth).0))
    }

    pub(super) fn draw(&self) -> Drawn {
        let all = || self.shown().flat_map(|(_, buckets)| buckets);
        let (x, y) = (Axis::log(&self.x), Axis::log(&self.y));
        let across = x.over(all().flat_map(|bucket| [bucket.from, bucket.to]));
        let up = y.over(all().map(|bucket| bucket.count).chain([FOOT]));
        drawn_on((&x, across), (&y, up), |chart| self.draw_bars(chart))
    }

    fn draw_bars(&self, chart: &mut Chart<'_, '_>) -> Result<(), Box<dyn Error>> {
        let sides = self.shown().count();
        for (nth, (_, buckets)) in self.shown().enumerate() {
            let style = ShapeStyle { color: rgb(tone(nth).1).into(), filled: true, stroke_width: 0 };
            chart.draw_series(buckets.map(|bucket| {
                let (from, to) = bucket.place(nth, sides);
                Rectangle::new([(from, bucket.count), (to, FOOT)], style)
            }))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(from: f64, count: f64) -> Bucket {
        Bucket { from, to: from * 2.0, count }
    }

    fn bars(sides: &[(&str, &[Bucket])]) -> Bars {
        let sides = sides.iter().map(|(name, buckets)| ((*name).into(), buckets.to_vec())).collect();
        Bars { x: "ns".into(), y: "inserts".into(), sides }
    }

    /// Left end, width and height of each bar, and its colour.
    fn rectangles(drawn: &str) -> Vec<(f64, f64, f64, &str)> {
        let value = |element: &str, name: &str| -> f64 {
            let (_, rest) = element.split_once(&format!(" {name}=\"")).unwrap();
            rest.split('"').next().unwrap().parse().unwrap()
        };
        let bar = |element| {
            let class = str::split_once(element, "class=\"f-")?.1.split('"').next()?;
            Some((value(element, "x"), value(element, "width"), value(element, "height"), class))
        };
        drawn.split("<rect").skip(1).filter_map(|rest| bar(rest.split('>').next()?)).collect()
    }

    #[test]
    fn sides_stand_beside_each_other_and_more_is_higher() {
        let (first, second) = ([bucket(8.0, 1000.0), bucket(1024.0, 1.0)], [bucket(8.0, 10.0)]);
        let drawn = bars(&[("ours", &first), ("none", &[]), ("peer", &second)]).draw().markup.into_string();
        let found = rectangles(&drawn);
        assert_eq!(found.iter().map(|bar| bar.3).collect::<Vec<_>>(), ["one", "one", "two"], "{drawn}");
        let [many, single, few] = [found[0], found[1], found[2]];
        assert!(many.2 > few.2 && few.2 > single.2 && single.2 > 2.0, "{found:?}");
        assert!(
            many.0 + many.1 <= few.0 + 1.0 && few.0 + few.1 < single.0,
            "no bar hides another: {found:?}"
        );
        // Three decades and some in 1000, 10 and 1: equal quotients are equal distances.
        let decade = (few.2 - single.2, (many.2 - few.2) / 2.0);
        assert!((decade.0 - decade.1).abs() < 2.0, "{found:?}");
        assert!(drawn.contains(">inserts<") && drawn.contains(">100<"), "{drawn}");
    }

    #[test]
    fn what_has_no_place_is_not_drawn() {
        let odd = [bucket(0.0, 5.0), bucket(4.0, 0.0), Bucket { to: f64::INFINITY, ..bucket(4.0, 5.0) }];
        assert!(bars(&[("odd", &odd)]).is_empty());
        let both = bars(&[("odd", &odd), ("whole", &[bucket(4.0, 5.0)])]);
        assert_eq!(both.key().collect::<Vec<_>>(), [("whole", "one")]);
        assert_eq!(rectangles(&both.draw().markup.into_string()).len(), 1);
    }
}
