// Package examples holds pipelines that show what the engine is for, as SQL
// files that the binary can carry.
package examples
