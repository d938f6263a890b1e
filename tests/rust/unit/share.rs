use super::*;

#[test]
fn homes_cover_all_blocks_once() {
    for nblocks in 0..20 {
        for threads in 1..7 {
            let all: Vec<_> = (0..threads).flat_map(|i| home(nblocks, threads, i)).collect();
            assert_eq!(all, (0..nblocks).collect::<Vec<_>>());
        }
    }
}

#[test]
fn every_thread_visits_every_block() {
    for (i, back) in (0..3).flat_map(|i| [(i, false), (i, true)]) {
        let mut visited = itinerary(10, home(10, 3, i), back);
        let mut own: Vec<_> = home(10, 3, i).collect();
        if back {
            own.reverse();
        }
        assert!(visited.starts_with(&own));
        visited.sort_unstable();
        assert_eq!(visited, (0..10).collect::<Vec<_>>());
    }
}

#[test]
fn a_thread_helps_where_the_owner_comes_last() {
    assert_eq!(itinerary(4, 0..2, false), [0, 1, 3, 2]);
    assert_eq!(itinerary(4, 0..2, true), [1, 0, 2, 3]);
}

#[test]
fn every_block_is_worked_on_once() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("three threads");
    let mut blocks = vec![0; 100];
    for back in [false, true] {
        pool.install(|| share(&mut blocks, back, &|block| *block += 1));
    }
    assert_eq!(blocks, [2; 100]);
}
