//! Palisade's two executors: direct-threaded assembly and a portable token loop.
