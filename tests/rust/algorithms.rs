//! The engine against matrices whose spectral norm is known without it.

mod common;

#[path = "algorithms/block.rs"]
mod block;
#[path = "algorithms/bound.rs"]
mod bound;
#[path = "algorithms/control.rs"]
mod control;
#[path = "algorithms/copies.rs"]
mod copies;
#[path = "algorithms/crowds.rs"]
mod crowds;
#[path = "algorithms/degenerate.rs"]
mod degenerate;
#[path = "algorithms/requests.rs"]
mod requests;
#[path = "algorithms/rigorous.rs"]
mod rigorous;
#[path = "algorithms/scales.rs"]
mod scales;
#[path = "algorithms/shapes.rs"]
mod shapes;
#[path = "algorithms/spectra.rs"]
mod spectra;
#[path = "algorithms/spectrum.rs"]
mod spectrum;
