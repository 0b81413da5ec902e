// Package crashtest kills a running server, again and again, and looks whether
// anything was lost.
//
// The broker is a process of its own with its data on disk. The server is the
// built binary, killed by SIGKILL at random moments while events come in from
// Kafka and clients write over the wire. At the end every row that was
// acknowledged is there once, and every view is what it should be.
//
//	go test ./crashtest                              5 kills
//	STREAMSQL_KILLS=50 go test -timeout 20m ./crashtest
package crashtest
