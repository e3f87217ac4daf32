// Sends one request of Prometheus' remote write 2.0 by the client of client_golang:
// URL TOKEN, then triples NAME JOB VALUE; each is a series with one sample of now.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/exp/api/remote"
	writev2 "github.com/prometheus/client_golang/exp/api/remote/genproto/v2"
)

const patience = 30 * time.Second

type authorized struct{ token string }

func (a authorized) RoundTrip(request *http.Request) (*http.Response, error) {
	request.Header.Set("Authorization", "Bearer "+a.token)
	return http.DefaultTransport.RoundTrip(request)
}

func check(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

func main() {
	url, token, series := os.Args[1], os.Args[2], os.Args[3:]
	client, err := remote.NewAPI(url, remote.WithAPIHTTPClient(&http.Client{Transport: authorized{token}}))
	check(err)
	symbols := writev2.NewSymbolTable()
	request := &writev2.Request{}
	for i := 0; i < len(series); i += 3 {
		value, err := strconv.ParseFloat(series[i+2], 64)
		check(err)
		labels := []string{"__name__", series[i], "job", series[i+1]}
		request.Timeseries = append(request.Timeseries, &writev2.TimeSeries{
			LabelsRefs: symbols.SymbolizeLabels(labels, nil),
			Samples:    []*writev2.Sample{{Value: value, Timestamp: time.Now().UnixMilli()}},
			Metadata:   &writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_GAUGE, HelpRef: symbols.Symbolize("help")},
		})
	}
	request.Symbols = symbols.Symbols()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	written, err := client.Write(ctx, remote.WriteV2MessageType, request)
	fmt.Println("written:", written.Samples, written.Histograms, written.Exemplars)
	check(err)
}
