"""The client against every fault, on real sockets. A package, so that its parts find each other."""
