// Package kafka is the source that reads a topic of Kafka.
//
// Every partition is read by itself, from positions that the engine keeps; no
// group decides who reads what. With properties.group.id the positions are also
// committed to that group, for tools that show the lag; they are never read back.
//
// Options (RisingWave's names; Flink's are taken too):
//
//	topic, properties.bootstrap.server
//	scan.startup.mode              earliest, latest, timestamp, specific-offsets
//	scan.startup.timestamp.millis  for timestamp
//	properties.group.id
//	properties.isolation.level     read_committed, read_uncommitted
//	on_missing_field               null, error: the record is a dead letter
//	on_unknown_field               ignore, error
//	on_offset_out_of_range         fail, earliest, latest
//	on_topic_recreated             fail, earliest
//	scan.max.record.bytes          a larger record is a dead letter
//	check.topic                    true: CREATE SOURCE wants to see the topic
//
// and those of the connection, properties.security.protocol, .sasl.… and .ssl.…,
// as librdkafka names them.
//
// A partition that the positions do not name starts where scan.startup.mode
// says when there are no positions at all. Otherwise it is new since the source
// was last read and starts at its first record, so that nothing is lost.
//
// A position that the topic does not hold (its records expired, or the topic
// was cut) ends the reading with an error, unless on_offset_out_of_range says
// where to go on: earliest is the first record there is, latest the end. A topic
// that was deleted and created again ends it too, unless on_topic_recreated
// says earliest. Both jumps are told in Fetch.Reset.
package kafka
