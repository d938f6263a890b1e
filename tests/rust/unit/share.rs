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
    for i in 0..3 {
        let mut visited: Vec<_> = itinerary(10, home(10, 3, i)).collect();
        assert!(visited.starts_with(&home(10, 3, i).collect::<Vec<_>>()));
        visited.sort_unstable();
        assert_eq!(visited, (0..10).collect::<Vec<_>>());
    }
}

#[test]
fn every_block_is_worked_on_once() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("three threads");
    let mut blocks = vec![0; 100];
    pool.install(|| share(&mut blocks, &|block| *block += 1));
    assert_eq!(blocks, [1; 100]);
}
