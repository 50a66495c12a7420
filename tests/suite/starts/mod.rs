//! Starts that cannot succeed, and say why.
