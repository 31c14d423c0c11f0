//! ws-proto embedded into other runtimes; each host is a program in `examples/`, to be copied.
