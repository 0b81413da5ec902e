module github.com/streamsql/streamsql

go 1.26.0
