package wire

import (
	"maps"
	"slices"

	"github.com/streamsql/streamsql/sql/sqlerr"
)

// Statements holds a session's prepared statements by name. Statements of the
// protocol and of PREPARE share one name space, as in PostgreSQL.
type Statements struct{ m map[string]*prepared }

// prepared is a named statement. One of an empty text has no Prepared.
type prepared struct {
	Prepared
	text   string
	whole  string // the text that the client sent, for error positions
	offset int    // of text in whole
}

func newStatements() *Statements { return &Statements{m: map[string]*prepared{}} }

// Get returns the statement of that name; false also for one of an empty text.
func (s *Statements) Get(name string) (Prepared, bool) {
	p, ok := s.m[name]
	if !ok || p.Prepared == nil {
		return nil, false
	}
	return p.Prepared, true
}

// Put keeps a statement under a name (PREPARE); 42P05 if the name is taken.
func (s *Statements) Put(name, text string, p Prepared) error {
	return s.put(name, &prepared{Prepared: p, text: text, whole: text})
}

func (s *Statements) put(name string, p *prepared) error {
	if _, taken := s.m[name]; taken && name != "" {
		return sqlerr.New("42P05", "prepared statement %q already exists", name)
	}
	s.m[name] = p
	return nil
}

// Delete forgets a statement (DEALLOCATE) and tells whether there was one.
func (s *Statements) Delete(name string) bool {
	_, ok := s.m[name]
	delete(s.m, name)
	return ok
}

// Clear forgets all (DEALLOCATE ALL, DISCARD ALL).
func (s *Statements) Clear() { clear(s.m) }

// Each calls f for every named statement, in the order of the names.
func (s *Statements) Each(f func(name, text string, p Prepared)) {
	for _, name := range slices.Sorted(maps.Keys(s.m)) {
		if p := s.m[name]; name != "" && p.Prepared != nil {
			f(name, p.text, p.Prepared)
		}
	}
}

// get is Get for the protocol's messages.
func (s *Statements) get(name string) (*prepared, error) {
	if p, ok := s.m[name]; ok {
		return p, nil
	}
	if name == "" {
		return nil, sqlerr.New("26000", "unnamed prepared statement does not exist")
	}
	return nil, sqlerr.New("26000", "prepared statement %q does not exist", name)
}
