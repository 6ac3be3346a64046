//go:build slow && !linux

package main_test

import "testing"

func (s *suite) fullDisk(t *testing.T) { t.Skip("disks of a test's own take Linux's namespaces") }

func (s *suite) readOnlyDisk(t *testing.T) { t.Skip("disks of a test's own take Linux's namespaces") }
