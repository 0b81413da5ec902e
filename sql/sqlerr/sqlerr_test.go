package sqlerr

import (
	"errors"
	"fmt"
	"testing"
)

func TestFrom(t *testing.T) {
	e := New(Syntax, "at %q", "x").At(4).WithHint("h")
	if got := From(fmt.Errorf("wrapped: %w", e)); got != e || got.Pos != 5 || got.Hint != "h" {
		t.Fatalf("a wrapped error lost its fields: %+v", got)
	}
	if e.At(9).Pos != 5 {
		t.Fatal("a second position replaced the first")
	}
	if got := From(errors.New("boom")); got.Code != Internal {
		t.Fatalf("a foreign error has code %s", got.Code)
	}
	if From(nil) != nil {
		t.Fatal("nil became an error")
	}
}
