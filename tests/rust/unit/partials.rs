use super::*;

/// Shows in what order it was added up.
struct Word(String);

impl Partial for Word {
    fn clear(&mut self) {
        self.0.clear();
    }

    fn add(&mut self, _: Level, other: &Self) {
        self.0 = format!("({}{})", self.0, other.0);
    }
}

/// Runs a pass whose blocks end in this order.
fn pass(partials: &mut Partials<Word>, order: &[usize]) -> (String, Moments) {
    let level = Level::current().expect("a tier that this CPU has");
    partials.prepare(order.len(), || Word("leftover".to_owned()));
    for &i in order {
        partials.fill(level, i, |word| {
            word.0.push_str(&i.to_string());
            Moments { max_abs: i as f64, sum_of_squares: 1.0 }
        });
    }
    let mut sums = Vec::new();
    let moments = partials.collect(|word| sums.push(word.0.clone()));
    (sums.join(" "), moments)
}

#[test]
fn the_order_of_the_sums_is_that_of_the_blocks() {
    let expected = "(((01)2)3) (((45)6)7) (89)";
    for order in [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]] {
        let mut partials = Partials::default();
        // The second pass starts from zero again.
        for _ in 0..2 {
            let (sums, moments) = pass(&mut partials, &order);
            assert_eq!(sums, expected);
            assert_eq!((moments.max_abs, moments.sum_of_squares), (9.0, 10.0));
        }
    }
}

#[test]
fn a_pass_that_was_stopped_leaves_no_trace() {
    let level = Level::current().expect("a tier that this CPU has");
    let mut partials = Partials::default();
    partials.prepare(5, || Word(String::new()));
    partials.fill(level, 2, |_| Moments::EMPTY);
    assert_eq!(pass(&mut partials, &[4, 3, 2, 1, 0]).0, "(((01)2)3) 4");
}

#[test]
fn a_pass_without_blocks_is_empty() {
    assert_eq!(pass(&mut Partials::default(), &[]), (String::new(), Moments::EMPTY));
}
