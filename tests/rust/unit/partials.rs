use super::*;

/// Shows in what order it was added up.
struct Word(String);

impl Partial for Word {
    fn clear(&mut self) {
        self.0.clear();
    }

    fn add(&mut self, _: Level, other: &Self) {
        // Which of two comes first makes no difference to a sum.
        let (low, high) = if self.0 < other.0 { (&self.0, &other.0) } else { (&other.0, &self.0) };
        self.0 = format!("({low}{high})");
    }
}

/// Runs a pass whose blocks end in this order.
fn pass(partials: &mut Partials<Word>, order: &[usize]) -> (String, Moments) {
    let level = Level::current().expect("a tier that this CPU has");
    partials.prepare(order.len());
    for &i in order {
        partials.fill(
            level,
            i,
            || Word("leftover".to_owned()),
            |word| {
                word.0.push(char::from(b'a' + i as u8));
                Moments { max_abs: i as f64, sum_of_squares: 1.0 }
            },
        );
    }
    let mut sums = Vec::new();
    let moments = partials.collect(|word| sums.push(word.0.clone()));
    (sums.join(" "), moments)
}

#[test]
fn the_order_of_the_sums_is_that_of_the_blocks() {
    let expected = "((((ab)(cd))((ef)(gh)))(ij))";
    for order in [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
        [3, 8, 0, 9, 5, 2, 4, 1, 7, 6],
    ] {
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
    partials.prepare(5);
    partials.fill(level, 2, || Word(String::new()), |_| Moments::EMPTY);
    assert_eq!(pass(&mut partials, &[4, 3, 2, 1, 0]).0, "(((ab)(cd))e)");
}

#[test]
fn a_pass_without_blocks_is_empty() {
    assert_eq!(pass(&mut Partials::default(), &[]), (String::new(), Moments::EMPTY));
}
