// Command streamsql is the streaming SQL engine: the server, and tools around
// it. `streamsql help` lists what it does. Connectors and the examples' Go
// functions are linked here.
package main
