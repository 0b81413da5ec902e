.PHONY: help build test race lint slt crash bench demo ci

STATICCHECK := $(shell go env GOPATH)/bin/staticcheck

help: ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "%-8s %s\n", $$1, $$2}' Makefile

build: ## build the binary ./streamsql
	go build ./cmd/streamsql

test: ## run all tests
	go test ./...

race: ## run all tests under the race detector
	go test -race -short ./...

lint: ## gofmt, vet and staticcheck (staticcheck.conf)
	test -z "$$(gofmt -l .)"
	go vet ./...
	test -x $(STATICCHECK) || go install honnef.co/go/tools/cmd/staticcheck@v0.7.0
	$(STATICCHECK) ./...

slt: ## run the project's sqllogictest suite in modes batch and view
	go run ./cmd/streamsql slt --mode batch sqllogictest
	go run ./cmd/streamsql slt --mode view sqllogictest

crash: ## 50 x kill -9 of a server under load
	STREAMSQL_KILLS=50 go test -count=1 -timeout 20m -run TestKill -v ./crashtest

bench: ## Nexmark beside hand-written loops, and the operators
	go test -run xxx -bench . -benchtime 1x ./bench
	go test -run xxx -bench . ./sql/expr ./sql/exec ./state

demo: ## the recommender on embedded parts, for a minute
	go run ./cmd/streamsql demo --for 60s

ci: ## run what CI runs
	bash .ci/run
