// Package revision copies files of a revision of a git repository, within bounds. The repository is not trusted. Git
// does not start programs of its configuration or access the network. Links that lead out of the repository are not
// created. Files are counted before they are written.
package revision
