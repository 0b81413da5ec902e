package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/streamsql/streamsql/engine"
	"github.com/streamsql/streamsql/sqllogictest"
	"github.com/streamsql/streamsql/sqllogictest/target"
)

// slt runs sqllogictest files, each in a fresh engine in memory, or all on a
// server.
func slt(ctx context.Context, args []string, out io.Writer) error {
	fl := flags("slt", out)
	mode := fl.String("mode", "batch", "`batch`, or view: each query is a materialized view too")
	workers := fl.Int("workers", 1, "`number` of workers")
	url := fl.String("url", "", "run on this `server` instead of in this process")
	max := fl.Int("max-fails", 0, "stop a file after `n` failures; 0: never")
	verbose := fl.Bool("v", false, "print a line for each file")
	if err := parse(fl, args); err != nil {
		return err
	}
	if m := sqllogictest.Mode(*mode); m != sqllogictest.Batch && m != sqllogictest.View {
		return usageError{fmt.Errorf("there is no mode %q", *mode)}
	}
	if fl.NArg() == 0 {
		return usageError{errors.New("it needs files or directories")}
	}
	var files []string
	for _, p := range fl.Args() {
		found, err := sltFiles(p)
		if err != nil {
			return err
		}
		files = append(files, found...)
	}
	var sum sqllogictest.Summary
	for _, f := range files {
		records, err := sqllogictest.ParseFile(f)
		if err != nil {
			return err
		}
		one, err := sltFile(ctx, records, *url, engine.Options{Workers: *workers},
			sqllogictest.Options{Mode: sqllogictest.Mode(*mode), Log: out, MaxFails: *max})
		if err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
		if *verbose {
			fmt.Fprintf(out, "%s: %s\n", f, one)
		}
		sum.Passed += one.Passed
		sum.Failed += one.Failed
		sum.Skipped += one.Skipped
	}
	fmt.Fprintln(out, sum)
	if sum.Failed > 0 {
		return errors.New("records failed")
	}
	return nil
}

func sltFile(ctx context.Context, records []*sqllogictest.Record, url string, eo engine.Options, o sqllogictest.Options) (sqllogictest.Summary, error) {
	if url != "" {
		return sqllogictest.Run(ctx, target.Wire(url), records, o)
	}
	eng, err := engine.Open(ctx, eo)
	if err != nil {
		return sqllogictest.Summary{}, err
	}
	sum, err := sqllogictest.Run(ctx, target.Engine{Engine: eng}, records, o)
	return sum, errors.Join(err, eng.Close())
}

// sltFiles returns the test files of a path.
func sltFiles(path string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() && (p == path || strings.HasSuffix(p, ".slt") || strings.HasSuffix(p, ".test")) {
			out = append(out, p)
		}
		return nil
	})
	slices.Sort(out)
	return out, err
}
