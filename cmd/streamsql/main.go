package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	_ "github.com/streamsql/streamsql/connector/datagen"
	_ "github.com/streamsql/streamsql/connector/file"
	_ "github.com/streamsql/streamsql/connector/kafka"
	_ "github.com/streamsql/streamsql/connector/nexmark"
)

// command is a subcommand. run reads its own flags; its error is shown and the
// process ends with 1, or with 2 for one of usage.
type command struct {
	name, args, about string
	run               func(ctx context.Context, args []string, out io.Writer) error
}

var commands []command

// register adds a subcommand; it is called from init.
func register(c command) { commands = append(commands, c) }

func init() {
	register(command{"serve", "[flags]", "run the server", serve})
	register(command{"submit", "-f FILE [flags]", "run a file of statements on a server", submit})
	register(command{"slt", "[flags] PATH…", "run sqllogictest files", slt})
	register(command{"version", "", "print the version", func(_ context.Context, _ []string, out io.Writer) error {
		_, err := fmt.Fprintln(out, version())
		return err
	}})
}

// usageError is an error in how a command was called.
type usageError struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run runs a command line and returns the exit code.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	name := "help"
	if len(args) > 0 {
		name = args[0]
	}
	for _, c := range commands {
		if c.name != name {
			continue
		}
		err := c.run(ctx, args[1:], out)
		var usage usageError
		switch {
		case err == nil, errors.Is(err, flag.ErrHelp):
			return 0
		case errors.As(err, &usage):
			fmt.Fprintf(errs, "streamsql %s: %v\nusage: streamsql %s %s\n", name, err, name, c.args)
			return 2
		}
		fmt.Fprintf(errs, "streamsql %s: %v\n", name, err)
		return 1
	}
	if name != "help" && name != "-h" && name != "--help" {
		fmt.Fprintf(errs, "streamsql: there is no command %q\n", name)
		help(errs)
		return 2
	}
	help(out)
	return 0
}

func help(w io.Writer) {
	fmt.Fprintln(w, "usage: streamsql COMMAND [flags]")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-9s %s\n", c.name, c.about)
	}
	fmt.Fprintln(w, "streamsql COMMAND -h shows a command's flags.")
}

// flags makes the flag set of a command; parse errors are usage errors.
func flags(name string, out io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet("streamsql "+name, flag.ContinueOnError)
	fs.SetOutput(out)
	return fs
}

func parse(fs *flag.FlagSet, args []string) error {
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return usageError{err}
	}
	return nil
}

// version is the module's version, or the commit that it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "streamsql (unknown)"
	}
	v, rev, dirty := info.Main.Version, "", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			rev = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = ", modified"
			}
		}
	}
	if v == "" {
		v = "(devel)"
	}
	if rev != "" {
		v += " (" + rev[:min(12, len(rev))] + dirty + ")"
	}
	return "streamsql " + v + ", " + info.GoVersion
}
