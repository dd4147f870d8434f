package main

import (
	"time"

	"reviews/contract"
)

var reviews = &contract.Collection{
	Name: "reviews",
	Key:  "id",
	Fields: []contract.Field{
		{Name: "id", Kind: contract.ID, Initial: func() any { return contract.NewID() }},
		{Name: "product", Kind: contract.Integer},
		{Name: "customer", Kind: contract.Integer, Null: true, Initial: func() any { return nil }},
		{Name: "stars", Kind: contract.Integer, Least: 1, Most: 5},
		{Name: "title", Kind: contract.Text, Least: 1, Most: 120},
		{Name: "text", Kind: contract.Text, Most: 10_000, Initial: func() any { return "" }},
		{Name: "published", Kind: contract.Boolean, Initial: func() any { return false }},
		{Name: "created", Kind: contract.Moment, Initial: func() any { return time.Now().Truncate(time.Microsecond) }},
	},
}
