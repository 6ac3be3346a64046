package site

import (
	"surprisal.dev/runner/action"
)

// Names of files of a site.
const (
	manifestFile = "site.json"
	markerFile   = "surprisal-site.json"
	dataDir      = "data"
)

// format is the version of the manifest. A page of another version refuses it.
const format = 1

// manifest is site.json: all that the overview of the pages needs.
type manifest struct {
	Format      int                  `json:"format"`
	Generator   string               `json:"generator"`
	Title       string               `json:"title"`
	Text        action.Text          `json:"text"`
	Experiments []experimentManifest `json:"experiments"`
	Entries     []entry              `json:"entries"`
}

// experimentManifest is an experiment of a site.
type experimentManifest struct {
	Name string `json:"name"`
	// Runs are the runs of the experiment in its store, the latest first.
	Runs []run `json:"runs"`
	// Models are the models with a score, by name.
	Models []modelManifest `json:"models"`
	// Datasets counts the published datasets.
	Datasets int `json:"datasetCount"`
}

type run struct {
	ID      string `json:"id"`
	Started string `json:"started"`
	State   string `json:"state"`
}

type modelManifest struct {
	Name       string `json:"name"`
	Family     string `json:"family,omitempty"`
	Parameters int64  `json:"parameters,omitempty"`
	// ActiveParameters are those that a token uses, if they are fewer.
	ActiveParameters int64 `json:"activeParameters,omitempty"`
}

// entry is a page of the site. ID is its stable address, EXPERIMENT/KIND/NAME, and Version identifies its content.
type entry struct {
	ID         string                     `json:"id"`
	Experiment string                     `json:"experiment"`
	Kind       string                     `json:"kind"`
	Name       string                     `json:"name"`
	Version    string                     `json:"version"`
	Key        string                     `json:"key"`
	Tags       []string                   `json:"tags"`
	Title      string                     `json:"title"`
	Headline   any                        `json:"headline"`
	Files      map[string]action.PageFile `json:"files"`
}
