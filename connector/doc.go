// Package connector holds the interfaces between the engine and the outside
// world: sources, which bring rows, and sinks, which take them. Connectors
// register a factory under the name that WITH (connector = '…') uses.
package connector
