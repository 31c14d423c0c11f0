//! The guide: chapters of prose for those who embed the crate.
//!
//! | chapter | it answers |
//! |---|---|
//! | [`threads`] | What do the smallest server and client look like? |
//! | [`embedding`] | How does a host read, write, wait and close? Which hosts can be copied? |
//! | [`limits`] | What is accepted by default, and what happens beyond it? |
//! | [`memory`] | How much does a connection hold, and when is it given back? |
//! | [`rfcs`] | Which item of the crate implements which section of which RFC? |

// The scope that links of the chapters are resolved in.
use crate::*;

#[doc = include_str!("guide/embedding.md")]
pub mod embedding {}

#[doc = include_str!("guide/limits.md")]
pub mod limits {}

#[doc = include_str!("guide/memory.md")]
pub mod memory {}

#[doc = include_str!("guide/rfcs.md")]
pub mod rfcs {}

#[doc = include_str!("guide/threads.md")]
pub mod threads {}
