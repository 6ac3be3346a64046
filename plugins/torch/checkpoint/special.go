package checkpoint

import (
	"encoding/json"
	"math"
	"path/filepath"
	"strconv"

	"surprisal.dev/plugins/torch/family"
)

// specialID reads an id that must be in the vocabulary.
func specialID(path, key string, value any, vocabulary int) (special, error) {
	id, ok := family.Integer(value)
	if !ok || id < 0 || id >= int64(vocabulary) || id > math.MaxInt32 {
		return special{}, invalid("%s: %s is %v, not the id of one of %d tokens", path, key, value, vocabulary)
	}
	return special{int32(id), true}, nil
}

// specials finds the ids of BOS and EOS. The tokenizer's own setting takes precedence: null there means that it has no
// such token, even if config.json names an id for generation.
func (c *Checkpoint) specials(directory string, config map[string]any) error {
	objects := map[string]map[string]any{"config.json": config}
	for _, name := range []string{"tokenizer_config.json", "generation_config.json"} {
		data, err := c.optional(directory, name)
		if err != nil {
			return err
		}
		if objects[name], err = object(filepath.Join(directory, name), data); err != nil {
			return err
		}
	}
	var err error
	for key, token := range map[string]*special{"bos_token": &c.bos, "eos_token": &c.eos} {
		if *token, err = c.special(directory, key, objects); err != nil {
			return err
		}
	}
	return nil
}

func (c *Checkpoint) special(directory, key string, objects map[string]map[string]any) (special, error) {
	tokenizer := objects["tokenizer_config.json"]
	if written, has := tokenizer[key]; has {
		if written == nil {
			return special{}, nil
		}
		// Older files write the token as an object.
		if token, ok := written.(map[string]any); ok {
			written = token["content"]
		}
		content, ok := written.(string)
		if !ok {
			return special{}, invalid("%s: %s is %v, not a token", filepath.Join(directory, "tokenizer_config.json"), key, written)
		}
		if id, ok, err := c.addedToken(directory, content, tokenizer); err != nil || ok {
			if err != nil {
				return special{}, err
			}
			return specialID(directory, key, id, c.architecture.Vocabulary)
		}
	}
	for _, name := range []string{"config.json", "generation_config.json"} {
		value := objects[name][key+"_id"]
		if list, ok := value.([]any); ok {
			if len(list) == 0 {
				continue
			}
			value = list[0]
		}
		// transformers writes the ids of a family's first model for models with other vocabularies too; those ids refer
		// to no token.
		if id, ok := family.Integer(value); ok && (id < 0 || id >= int64(c.architecture.Vocabulary)) {
			continue
		}
		if value != nil {
			return specialID(filepath.Join(directory, name), key+"_id", value, c.architecture.Vocabulary)
		}
	}
	return special{}, nil
}

// addedToken looks up a token among those that were added to the tokenizer's vocabulary.
func (c *Checkpoint) addedToken(directory, content string, config map[string]any) (int, bool, error) {
	if decoder, ok := config["added_tokens_decoder"].(map[string]any); ok {
		for id, entry := range decoder {
			if token, ok := entry.(map[string]any); ok && token["content"] == content {
				n, err := strconv.Atoi(id)
				return n, err == nil, nil
			}
		}
	}
	if c.tokenizer == nil {
		return 0, false, nil
	}
	var file struct {
		Added []struct {
			ID      int    `json:"id"`
			Content string `json:"content"`
		} `json:"added_tokens"`
	}
	if err := json.Unmarshal(c.tokenizer, &file); err != nil {
		return 0, false, invalid("%s: %v", filepath.Join(directory, "tokenizer.json"), err)
	}
	for _, token := range file.Added {
		if token.Content == content {
			return token.ID, true, nil
		}
	}
	return 0, false, nil
}
