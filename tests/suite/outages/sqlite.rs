//! The file goes away, or its disk is full.
