package checkpoint

import (
	"os"

	"github.com/cockroachdb/pebble/vfs"
)

// faultFS calls before ahead of, and after behind, each call that reaches the
// file system. An error of before replaces the call.
type faultFS struct {
	vfs.FS
	before func(op, name string) error
	after  func(op, name string)
	short  bool // writes put half of their bytes and say so without an error
}

func (f *faultFS) do(op, name string, call func() error) error {
	if f.before != nil {
		if err := f.before(op, name); err != nil {
			return err
		}
	}
	err := call()
	if f.after != nil {
		f.after(op, name)
	}
	return err
}

func (f *faultFS) open(op, name string, fn func(string) (vfs.File, error)) (vfs.File, error) {
	var file vfs.File
	if err := f.do(op, name, func() (err error) { file, err = fn(name); return }); err != nil {
		return nil, err
	}
	return &faultFile{file, f, name}, nil
}

func (f *faultFS) Create(n string) (vfs.File, error)  { return f.open("create", n, f.FS.Create) }
func (f *faultFS) OpenDir(n string) (vfs.File, error) { return f.open("opendir", n, f.FS.OpenDir) }
func (f *faultFS) Open(n string, _ ...vfs.OpenOption) (vfs.File, error) {
	return f.open("open", n, func(n string) (vfs.File, error) { return f.FS.Open(n) })
}
func (f *faultFS) OpenReadWrite(n string, _ ...vfs.OpenOption) (vfs.File, error) {
	return f.open("openrw", n, func(n string) (vfs.File, error) { return f.FS.OpenReadWrite(n) })
}
func (f *faultFS) ReuseForWrite(a, b string) (vfs.File, error) {
	return f.open("reuse", b, func(string) (vfs.File, error) { return f.FS.ReuseForWrite(a, b) })
}
func (f *faultFS) Link(a, b string) error {
	return f.do("link", b, func() error { return f.FS.Link(a, b) })
}
func (f *faultFS) RemoveAll(n string) error {
	return f.do("removeall", n, func() error { return f.FS.RemoveAll(n) })
}
func (f *faultFS) List(n string) (names []string, err error) {
	err = f.do("list", n, func() (err error) { names, err = f.FS.List(n); return })
	return names, err
}
func (f *faultFS) Stat(n string) (info os.FileInfo, err error) {
	err = f.do("stat", n, func() (err error) { info, err = f.FS.Stat(n); return })
	return info, err
}
func (f *faultFS) Rename(a, b string) error {
	return f.do("rename", a, func() error { return f.FS.Rename(a, b) })
}
func (f *faultFS) Remove(n string) error {
	return f.do("remove", n, func() error { return f.FS.Remove(n) })
}
func (f *faultFS) MkdirAll(n string, p os.FileMode) error {
	return f.do("mkdir", n, func() error { return f.FS.MkdirAll(n, p) })
}

type faultFile struct {
	vfs.File
	fs   *faultFS
	name string
}

func (f *faultFile) Write(b []byte) (n int, err error) {
	if f.fs.short {
		return f.File.Write(b[:len(b)/2])
	}
	err = f.fs.do("write", f.name, func() error { n, err = f.File.Write(b); return err })
	return n, err
}
func (f *faultFile) Sync() error     { return f.fs.do("sync", f.name, f.File.Sync) }
func (f *faultFile) SyncData() error { return f.fs.do("sync", f.name, f.File.SyncData) }
func (f *faultFile) SyncTo(n int64) (full bool, err error) {
	err = f.fs.do("sync", f.name, func() (err error) { full, err = f.File.SyncTo(n); return })
	return full, err
}
func (f *faultFile) Preallocate(off, n int64) error {
	return f.fs.do("preallocate", f.name, func() error { return f.File.Preallocate(off, n) })
}
func (f *faultFile) Read(b []byte) (n int, err error) {
	err = f.fs.do("read", f.name, func() error { n, err = f.File.Read(b); return err })
	return n, err
}
func (f *faultFile) ReadAt(b []byte, off int64) (n int, err error) {
	err = f.fs.do("read", f.name, func() error { n, err = f.File.ReadAt(b, off); return err })
	return n, err
}
