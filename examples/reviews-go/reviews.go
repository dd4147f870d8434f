package main

import (
	"time"

	"reviews/contract"
)

var reviews = &contract.Collection{
	Name: "reviews",
	Key:  "id",
	Fields: []contract.Field{
		{Name: "id", Kind: contract.Integer, Generated: true},
		{Name: "product_id", Kind: contract.Integer},
		{Name: "customer_id", Kind: contract.Integer},
		{Name: "order_id", Kind: contract.Integer, Null: true, Initial: func() any { return nil }},
		{Name: "author", Kind: contract.Text, Least: 1, Most: 120},
		{Name: "stars", Kind: contract.Integer, Least: 1, Most: 5},
		{Name: "text", Kind: contract.Text, Initial: func() any { return "" }},
		{Name: "published", Kind: contract.Boolean, Initial: func() any { return true }},
		{Name: "created_at", Kind: contract.Moment, Initial: func() any { return time.Now().Truncate(time.Microsecond) }},
	},
}
