package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

// export is a folder with a checkpoint and tiles as c2sp.org/tlog-tiles names them.
type export struct {
	Folder  string
	Indexes []int64  // leaves to prove
	Saved   [][]byte // earlier checkpoints, which the export's has to continue
}

// folder reads tiles; Go's own paths have the height in them, and another word for entries.
type folder string

func (f folder) Height() int { return height }

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

func (f folder) ReadTiles(tiles []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range tiles {
		one, err := f.read(tile)
		if err != nil {
			return nil, err
		}
		data = append(data, one)
	}
	return data, nil
}

func (f folder) read(tile tlog.Tile) ([]byte, error) {
	path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
	path = strings.Replace(path, "tile/data/", "tile/entries/", 1)
	return os.ReadFile(filepath.Join(string(f), path))
}

// entry returns the data of a leaf from its bundle.
func (f folder) entry(index, size int64) ([]byte, error) {
	bundle := tlog.Tile{H: height, L: -1, N: index >> height, W: int(min(1<<height, size-index>>height<<height))}
	data, err := f.read(bundle)
	if err != nil {
		return nil, err
	}
	for at := index % (1 << height); ; at-- {
		if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
			return nil, errors.New("a bundle ends too early")
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		if at == 0 {
			return data[2:end], nil
		}
		data = data[end:]
	}
}

// checkExport makes every proof from the tiles and verifies it; empty answers for what holds.
func checkExport(given export, verifier note.Verifier) ([]string, error) {
	files := folder(given.Folder)
	signed, err := os.ReadFile(filepath.Join(given.Folder, "checkpoint"))
	if err != nil {
		return nil, err
	}
	size, root, err := open(signed, verifier)
	if err != nil {
		return nil, err
	}
	// Holds the tiles at the tree's edge against the root; CheckRecord and CheckTree hold the others.
	reader := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, files)
	var answers []string
	say := func(err error) {
		if err != nil {
			answers = append(answers, err.Error())
		} else {
			answers = append(answers, "")
		}
	}
	for _, index := range given.Indexes {
		say(func() error {
			entry, err := files.entry(index, size)
			if err != nil {
				return err
			}
			proof, err := tlog.ProveRecord(size, index, reader)
			if err != nil {
				return err
			}
			return tlog.CheckRecord(proof, size, root, index, tlog.RecordHash(entry))
		}())
	}
	for _, saved := range given.Saved {
		say(func() error {
			oldSize, oldRoot, err := open(saved, verifier)
			if err != nil {
				return err
			}
			proof, err := tlog.ProveTree(size, oldSize, reader)
			if err != nil {
				return err
			}
			return tlog.CheckTree(proof, size, root, oldSize, oldRoot)
		}())
	}
	return answers, nil
}
