//! Fresh names, watchdog, start and kill a peer.
