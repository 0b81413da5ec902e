// Package broker runs a Kafka broker inside the process, for demonstrations and
// tests: one node that speaks Kafka's protocol, in memory or on disk. It is no
// replacement for Kafka: nothing is replicated.
package broker
