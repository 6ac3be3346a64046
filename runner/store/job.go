package store

import (
	"context"
	"strings"
)

func jobName(key string) string { return "jobs/" + key + ".json" }

// jobKey is the inverse of jobName, "" for other names.
func jobKey(name string) string {
	key, ok := strings.CutSuffix(strings.TrimPrefix(name, "jobs/"), ".json")
	if !ok || !isHex64(key) || jobName(key) != name {
		return ""
	}
	return key
}

// PutJob stores the description of an action for other processes, and replaces any earlier one. It needs a lease. GC
// removes the jobs of actions that no run reaches.
func (s *Store) PutJob(ctx context.Context, key string, data []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if len(data) > maxJob {
		return invalid("the job %s has %s, more than the limit of %s; use fewer inputs per action", key, size(len(data)), size(maxJob))
	}
	if _, err := s.hold(ctx, key); err != nil {
		return err
	}
	return s.write(ctx, jobName(key), data)
}

// Job returns the data that PutJob stored for an action. If there is none, the error is fs.ErrNotExist.
func (s *Store) Job(ctx context.Context, key string) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	var job []byte
	err := s.read(ctx, jobName(key), maxJob, damaged, func(data []byte) error {
		job = data
		return nil
	})
	return job, err
}
