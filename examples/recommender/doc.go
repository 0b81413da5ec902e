// Package recommender registers the Go functions of examples/recommender.sql:
//
//	recommender.EventWeight  how much an event moves an interest
//	recommender.Rating       how much it says about an item
//	recommender.EMA          the moving average of the interests
//	recommender.FoldRating   the rating after all events on an item
package recommender
