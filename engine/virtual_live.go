package engine

import (
	"maps"
	"slices"
	"sync"

	"github.com/streamsql/streamsql/sql/catalog"
)

// pgLiveRows makes the relations of pg_catalog that change without the catalog.
var pgLiveRows = map[string]func(*virtualEnv) error{
	"pg_catalog.pg_database": func(v *virtualEnv) error {
		v.add(vrow{"oid": databaseOID, "datname": v.s.database, "datdba": ownerOID, "encoding": 6, "datlocprovider": "c",
			"datallowconn": true, "datconnlimit": -1, "dattablespace": 1663, "datcollate": "C", "datctype": "C"})
		return nil
	},
	"pg_catalog.pg_roles": func(v *virtualEnv) error {
		v.add(vrow{"rolname": v.s.user, "rolsuper": true, "rolinherit": true, "rolcreaterole": true, "rolcreatedb": true,
			"rolcanlogin": true, "rolreplication": false, "rolconnlimit": -1, "rolpassword": "********", "rolbypassrls": true, "oid": ownerOID})
		return nil
	},
	"pg_catalog.pg_authid": func(v *virtualEnv) error {
		v.add(vrow{"oid": ownerOID, "rolname": v.s.user, "rolsuper": true, "rolinherit": true, "rolcreaterole": true,
			"rolcreatedb": true, "rolcanlogin": true, "rolbypassrls": true, "rolconnlimit": -1})
		return nil
	},
	"pg_catalog.pg_user": func(v *virtualEnv) error {
		v.add(vrow{"usename": v.s.user, "usesysid": ownerOID, "usecreatedb": true, "usesuper": true, "usebypassrls": true, "passwd": "********"})
		return nil
	},
	"pg_catalog.pg_settings": func(v *virtualEnv) error {
		for _, d := range settingDefs {
			value, _ := v.s.Setting(d.name)
			context := "user"
			if d.fixed {
				context = "internal"
			}
			v.add(vrow{"name": d.name, "setting": value, "unit": textOr(d.unit), "category": "streamsql", "short_desc": d.about,
				"context": context, "vartype": "string", "source": "session", "boot_val": d.value, "reset_val": d.value})
		}
		return nil
	},
	"pg_catalog.pg_stat_activity": func(v *virtualEnv) error {
		for _, a := range sessions.list() {
			if a.s.eng != v.eng {
				continue
			}
			state, since := "idle", timeOr(a.since.Load())
			if a.running.Load() {
				state = "active"
			}
			text := any(nil)
			if q := a.query.Load(); q != nil {
				text = *q
			}
			v.add(vrow{"datid": databaseOID, "datname": a.s.database, "pid": a.pid.Load(), "usesysid": ownerOID, "usename": a.s.user,
				"application_name": a.name(), "client_port": -1, "backend_start": a.s.started, "query_start": since, "state_change": since,
				"state": state, "query": text, "backend_type": "client backend"})
		}
		return nil
	},
	"pg_catalog.pg_stat_user_tables": func(v *virtualEnv) error {
		infos, err := v.eng.jobs(v.ctx)
		if err != nil {
			return err
		}
		rows := map[uint64]int64{}
		for _, j := range infos {
			rows[j.ID] = j.Rows
		}
		for _, o := range v.cat.All() {
			if o.Stored() && o.Schema == catalog.Public {
				v.add(vrow{"relid": o.ID, "schemaname": o.Schema, "relname": o.Name, "n_live_tup": rows[o.ID]})
			}
		}
		return nil
	},
}

// name is the session's application_name. Settings are replaced, never changed,
// but by the session's goroutine: it is kept beside them.
func (a *activity) name() string {
	if p := a.app.Load(); p != nil {
		return *p
	}
	return ""
}

// sessions are those of this process.
var sessions = &sessionList{m: map[int64]*activity{}}

type sessionList struct {
	mu   sync.Mutex
	last int64
	m    map[int64]*activity
}

func (l *sessionList) add(s *Session) *activity {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	a := &activity{id: l.last, s: s}
	a.pid.Store(l.last)
	if n := s.settings.now["application_name"]; n != "" {
		a.app.Store(&n)
	}
	l.m[a.id] = a
	return a
}

func (l *sessionList) remove(a *activity) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.m, a.id)
}

func (l *sessionList) list() []*activity {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := slices.Collect(maps.Values(l.m))
	slices.SortFunc(out, func(a, b *activity) int { return int(a.id - b.id) })
	return out
}
