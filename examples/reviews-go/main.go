// Reviews of products: a service of the collection contract, with an outbox that Waybill's relay publishes.
package main

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"reviews/contract"
)

const patience = 10 * time.Second

func main() {
	log.SetFlags(0)
	for _, name := range []string{"DATABASE_URL", "TOKEN"} {
		if os.Getenv(name) == "" {
			log.Fatalf("not set: %s", name)
		}
	}
	stop, done := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer done()
	pool, err := pgxpool.New(stop, os.Getenv("DATABASE_URL"))
	check(err)
	defer pool.Close()
	switch strings.Join(os.Args[1:], " ") {
	case "":
		service := &contract.Service{Collection: reviews, Outbox: outbox{}, Pool: pool, Token: os.Getenv("TOKEN")}
		check(serve(stop, service))
	case "migrate":
		check(pgx.BeginFunc(stop, pool, func(tx pgx.Tx) error { return migrate(stop, tx) }))
	default:
		log.Fatal("reviews [migrate]")
	}
}

//go:embed migrations/*.sql
var migrations embed.FS

const ready = `
SELECT pg_advisory_xact_lock(hashtextextended('migrate reviews', 0));
CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, ran_at timestamptz NOT NULL DEFAULT now())`

// migrate runs the files that the database has not had yet, all of them or none.
func migrate(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, ready); err != nil {
		return err
	}
	files, err := migrations.ReadDir("migrations")
	for _, file := range files {
		statements, _ := migrations.ReadFile("migrations/" + file.Name())
		noted, err := tx.Exec(ctx, "INSERT INTO migration (name) VALUES ($1) ON CONFLICT DO NOTHING", file.Name())
		if err == nil && noted.RowsAffected() == 1 {
			_, err = tx.Exec(ctx, string(statements))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", file.Name(), err)
		}
	}
	return err
}

func serve(stop context.Context, service *contract.Service) error {
	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:8080"))
	if err != nil {
		return err
	}
	fmt.Printf("http://%s/v1\n", listener.Addr())
	server := &http.Server{Handler: service, ReadTimeout: patience, WriteTimeout: patience, IdleTimeout: 12 * patience}
	go service.ForgetOldKeys(stop)
	stopped := make(chan error)
	go func() {
		<-stop.Done()
		last, enough := context.WithTimeout(context.Background(), patience)
		defer enough()
		stopped <- server.Shutdown(last)
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
