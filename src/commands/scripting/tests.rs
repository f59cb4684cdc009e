//! Scripts as redis-8.2.3 answers them.
