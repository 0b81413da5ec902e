.PHONY: help test race ci

help: ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "%-8s %s\n", $$1, $$2}' Makefile

test: ## run all tests
	go test ./...

race: ## run all tests under the race detector
	go test -race ./...

ci: ## run what CI runs
	bash .ci/run
